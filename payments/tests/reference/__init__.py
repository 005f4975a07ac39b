"""The reference: OpenAPI document, pages and table of errors."""
