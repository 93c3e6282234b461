# docker build -t cbir .   See docs/deploy.md.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/cbir
# First, as it seldom changes; from here it comes without the CUDA libraries, several GB.
RUN /opt/cbir/bin/pip install --index-url https://download.pytorch.org/whl/cpu torch torchvision
WORKDIR /source
COPY . .
RUN pip wheel --no-deps --wheel-dir /wheels . && /opt/cbir/bin/pip install "$(echo /wheels/cbir-*.whl)[milvus,postgresql]"

FROM python:3.11-slim-bookworm
COPY --from=build /opt/cbir /opt/cbir
# Everything that is written lies in one volume, the home: index, networks, the account's key.
RUN useradd --uid 10001 --home-dir /store --create-home cbir && mkdir /photos
ENV PATH=/opt/cbir/bin:$PATH CBIR_STORE=/store/index
VOLUME ["/photos", "/store"]
USER cbir
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/healthz')"]
ENTRYPOINT ["cbir"]
CMD ["serve", "--host", "0.0.0.0"]
