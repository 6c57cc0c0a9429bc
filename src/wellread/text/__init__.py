"""Text to ids to batches: tokenizers, packing and the planning of batches; knows no framework."""
