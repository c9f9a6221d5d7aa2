"""What to do against an artifact that a trained model goes by, and the proof that it helped."""
