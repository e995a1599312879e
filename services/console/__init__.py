"""The console shows the money: pages, live figures, and the API that answers questions about spending."""
