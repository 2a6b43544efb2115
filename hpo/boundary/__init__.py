"""Where calls of the user enter the library, and where its errors leave it."""
