"""What a sweep may compute."""
