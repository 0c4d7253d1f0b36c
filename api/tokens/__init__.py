"""The page on which people make tokens for their programs, and revoke them."""
