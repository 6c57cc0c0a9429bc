"""The vectors that are most alike a query's, found by comparing every one."""
