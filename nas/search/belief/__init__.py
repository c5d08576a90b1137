"""What a sampler can believe about networks that were not trained, from those that were; no Optuna, no study."""
