"""Save: figures, tables, sessions, and the menu that offers them."""
