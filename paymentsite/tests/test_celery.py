"""A wake-up delays a request by 0.1 s at most; a worker soon has its broker again."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from uuid import uuid4

import celery
import pytest
from kombu import Consumer, Message, Producer, Queue
from kombu.exceptions import OperationalError

from paymentsite.celery import app


@pytest.fixture
def hanging_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        app.pool.force_close_all()
        monkeypatch.setattr(app.conf, "broker_url", url)
        app.amqp._producer_pool = None
        app._pool = None
        yield
        app.amqp._producer_pool = None
        app._pool = None


def test_a_wake_up_through_a_hanging_redis_returns_within_its_timeout(hanging_redis: None) -> None:
    started = time.monotonic()
    with pytest.raises(OperationalError):
        app.send_task("payments.no_such_task", retry=False)
    assert time.monotonic() - started < 10


def test_a_worker_tries_its_broker_again_after_half_a_second_and_then_every_2_seconds() -> None:
    waits_seconds: list[float] = []

    class Enough(Exception):
        pass

    def note(_: Exception, seconds: float) -> None:
        waits_seconds.append(seconds)
        if len(waits_seconds) == 2:
            raise Enough

    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))  # And does not listen: each attempt is refused.
        url = f"redis://127.0.0.1:{unheard.getsockname()[1]}/0"
        with app.connection_for_read(url=url) as connection, pytest.raises(Enough):
            connection.ensure_connection(note, None)
    assert waits_seconds == [0.5, 1.0]


def test_tasks_sent_by_name_go_through_our_application() -> None:
    assert celery.current_app._get_current_object() is app


def test_the_beat_table_names_tasks_that_exist() -> None:
    app.loader.import_default_modules()
    unknown = {row["task"] for row in app.conf.beat_schedule.values()} - set(app.tasks)
    assert unknown == set()


def test_a_worker_takes_one_message_at_a_time_and_json_only() -> None:
    conf = app.conf
    assert conf.task_acks_late, "else it takes the next one while it works"
    assert conf.worker_prefetch_multiplier == 1
    assert conf.accept_content == ["json"]


def test_a_message_is_acknowledged_in_memory_and_so_also_without_redis() -> None:
    """kombu's acknowledgment in Redis ends a worker that has just lost its connection."""
    taken: list[Message] = []
    queue = Queue(f"test-{uuid4().hex}", no_declare=True)
    with app.connection_for_write() as connection:
        producer = Producer(connection.channel())
        for number in range(2):
            producer.publish({"number": number}, routing_key=queue.name)
    with app.connection_for_read() as connection:
        channel = connection.channel()
        channel.basic_qos(0, 1, False)
        Consumer(channel, [queue], on_message=taken.append).consume()
        connection.drain_events(timeout=5)
        assert not channel.qos.can_consume(), "one at a time"
        assert channel.client.exists("unacked", "unacked_index") == 0
        channel.client.delete(queue.name)
    [message] = taken
    message.ack()
    assert message.acknowledged
