"""The reconciliation of one large settlement report, measured stage by stage."""
