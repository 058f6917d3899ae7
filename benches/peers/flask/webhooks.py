"""A webhook as such products have it: the signature is checked, the body goes to a queue, and
a worker takes it from there."""

import hashlib
import hmac
import os

import redis
from celery import Celery
from flask import Flask, abort, request

SECRET = os.environ["APP_SECRET"].encode()
BROKER = os.environ["BROKER"]

queue = Celery("webhooks", broker=BROKER)
queue.conf.update(
    task_ignore_result=True,
    # As many connections as gunicorn has threads, so that none waits for another's.
    broker_pool_limit=int(os.environ["THREADS"]),
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=64,
)
store = redis.Redis.from_url(BROKER)


@queue.task(name="webhooks.handle")
def handle(account, body):
    """Stands for the work, which is not measured: it is counted."""
    store.incr("handled")


app = Flask(__name__)


@app.post("/webhooks/meta")
def receive():
    body = request.get_data()
    claimed = request.headers.get("X-Hub-Signature-256", "")
    signature = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(claimed, signature):
        abort(401)
    account = request.get_json()["entry"][0]["id"]
    handle.delay(account, body.decode())
    return "", 200
