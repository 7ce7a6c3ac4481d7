"""LaMa's inpainting network (the FFC generator) as an ONNX graph.

Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions"
(WACV 2022); the Fourier convolution is from Chi, Jiang and Mu, "Fast Fourier Convolution"
(NeurIPS 2020).
"""
