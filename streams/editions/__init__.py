"""Editions of a deployment: branches of its history, each with topics of its own."""
