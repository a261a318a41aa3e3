#!/bin/sh
# packages.sh REQUIREMENTS: makes /opt/facecraft with the locked packages, from wheels only, without pip and without
# what no running program needs.
set -eu

python -m venv --without-pip /opt/facecraft
python -m pip --python /opt/facecraft/bin/python install --quiet --disable-pip-version-check --no-compile \
    --only-binary :all: --require-hashes -r "$1"

cd "$(/opt/facecraft/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
# Tests that ship inside wheels (not `testing`: packages import from it), headers, stubs, static libraries.
find . -type d -name tests -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.px[di]' -o -name '*.pyx' -o -name '*.a' -o -name '*.h' -o -name '*.hpp' \) -delete
# ONNX Runtime: exporters, quantizers and the library for C programs; the Python module has it compiled in.
rm -rf onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/backend
rm -f onnxruntime/capi/libonnxruntime.so.*
# LiteRT: compilers for the chips of phones, and what draws on a browser's interface to the graphics card.
rm -rf ai_edge_litert/tools ai_edge_litert/vendors ai_edge_litert/aot
rm -f ai_edge_litert/libLiteRt*Accelerator.so
# SciPy: nothing but its sparse matrices is used, and those need neither the rest nor its copy of OpenBLAS.
# tests/integration/test_deploy_files.py holds the source to that.
find scipy -mindepth 1 -maxdepth 1 -type d ! -name sparse ! -name _lib -exec rm -rf {} +
rm -rf scipy.libs
find . -type d -empty -delete

# What was taken away must not be missed.
/opt/facecraft/bin/python -B -c 'import ai_edge_litert.interpreter, argon2, celery, cv2, obstore, onnxruntime, pillow_heif, psycopg, redis, scipy.sparse'

# The root may be read-only, so Python could not write these itself. Nothing changes the sources afterwards.
python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/facecraft/lib
