"""Draws what runs left; no part of the experiment."""
