"""The winner behind HTTP."""
