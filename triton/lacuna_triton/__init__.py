"""What Lacuna's Triton models written in Python share.

A model folder of the repository holds only a two-line ``1/model.py`` that imports its
class from here. Triton's Python processes run isolated and ignore ``PYTHONPATH``, so this
package must be importable from the site-packages of the ``python3`` that is first on
Triton's ``PATH``; ``scripts/stack.py setup`` sees to it with a ``.pth`` file.

``items``        requests to items and back, and errors that reach the caller
``onnx_graphs``  the ONNX graphs of one model folder, picked by the side of the image
``onnx_model``   a Triton model that runs graphs which take and give UINT8
``isnet``        the embedded segmenter, over ``onnx_graphs``
"""
