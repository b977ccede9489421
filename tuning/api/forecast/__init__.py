"""The forecast of a search before it begins: how long it takes, and how many trials its budget buys."""
