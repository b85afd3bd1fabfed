"""Services that modelyard runs itself beside the models."""
