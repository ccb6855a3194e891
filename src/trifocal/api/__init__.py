"""What people call from Python: a loaded model, heads as scikit-learn estimators, whole jobs."""
