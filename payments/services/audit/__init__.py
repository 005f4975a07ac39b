"""The audit trail: every act of a staff user or a service, the refused ones too."""
