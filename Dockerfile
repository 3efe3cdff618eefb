# The command in an image:  docker build -t antiphon . && docker run --rm -v "$PWD:/work" antiphon demo
#
# On x86 pip takes a PyTorch for CUDA, some gigabytes with its libraries. For the small one give the index of PyTorch's
# CPU wheels, as pytorch.org shows it:  docker build --build-arg TORCH_FROM=URL -t antiphon .
#
# Its steps were carried out one by one in an environment of their own, the demo as an ordinary user; an image was not
# built of them: there was no Docker to do it.

FROM python:3.11-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
ARG TORCH_FROM=
ARG EXTRAS=local
RUN pip install --no-cache-dir ${TORCH_FROM:+--index-url "$TORCH_FROM"} torch==2.13.0
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir "$(echo /wheels/*.whl)[$EXTRAS]"
RUN useradd --create-home antiphon && mkdir /work && chown antiphon /work
USER antiphon
WORKDIR /work
ENTRYPOINT ["antiphon"]
CMD ["--help"]
