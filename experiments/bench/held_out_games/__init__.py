"""Games of real tasks that nothing of the project was chosen on, as exact tables."""
