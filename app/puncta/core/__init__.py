"""Values and pure functions shared by every room; standard library and numpy only."""
