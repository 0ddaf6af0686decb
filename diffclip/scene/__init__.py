"""What is observed: scenes, their cards, loading, simulation, features and windows."""
