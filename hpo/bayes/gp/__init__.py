"""The Gaussian process: kernel, likelihood, posterior, and the transforms of its inputs and outputs."""
