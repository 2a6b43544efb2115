from __future__ import annotations

import pytest

from hpo.executors.cluster.ray_nodes import Nodes, Shape

GIB = 2**30


def nodes(**resources: dict[str, float]) -> Nodes:
    """Named by their ids, but `twin_...`, which share a name."""
    return Nodes.of(
        [
            {"NodeID": id, "Alive": "CPU" in has, "NodeName": id.partition("_")[0], "Resources": has}
            for id, has in resources.items()
        ],
        {"gone": "has no hpo"},
    )


def test_places_are_names_told_apart_where_several_share_one() -> None:
    cluster = nodes(a={"CPU": 1.0}, twin_1={"CPU": 2.0}, twin_2={"CPU": 4.0}, dead={})
    assert [cluster.place(id) for id in ("a", "twin_1", "dead")] == ["a", "twin (twin_1)", "dead"]
    assert not cluster.unfit, "it has left"
    left_out = [cluster.left_out(avoided) for avoided in ((), {"a"}, {"twin (twin_1)"}, {"twin"}, {"a", "twin"})]
    assert left_out == [set(), {"a"}, {"twin_1"}, {"twin_1", "twin_2"}, set()]
    assert [cluster.cpus(ids) for ids in left_out] == [0, 1, 2, 6, 0]


def test_avoided_nodes_are_barred_while_there_are_others_that_can_hold_the_task() -> None:
    cluster, one = nodes(a={"CPU": 2.0, "GPU": 1.0}, b={"CPU": 2.0}), Shape(1.0, 0, None)
    assert cluster.barred(one, ()) == frozenset()
    assert cluster.barred(one, {"a"}) == {"a"}
    assert cluster.barred(one, {"a", "b"}) == frozenset()
    assert cluster.barred(Shape(1.0, 1, None), {"a"}) == {"b"}, "there is no other GPU"
    unfit = Nodes(cluster.known, {"b": "has no hpo"})
    assert unfit.barred(one, ()) == unfit.barred(one, {"a"}) == {"b"}
    assert unfit.cpus(unfit.fit) == 2
    assert unfit.left_out({"a"}) == set(), "there is no other that is fit"


def test_what_a_task_waits_for() -> None:
    cluster = nodes(a={"CPU": 2.0, "memory": GIB}, b={"CPU": 4.0, "GPU": 1.0})
    assert cluster.lack(Shape(4.0, 0, None), {"CPU": 3.0}) == (
        "no node of the Ray cluster has enough free for a trial: it asks for 4 CPU, and free are 3 CPU of 6"
    )
    assert cluster.lack(Shape(1.0, 2, GIB), {}) == (
        "no node of the Ray cluster can hold a trial: it asks for 1 CPU, 2 GPU, 1024 MiB of memory, and the most that one "
        "has is 4 CPU, 1 GPU, 1024 MiB of memory"
    )


@pytest.mark.parametrize(
    ("shape", "slots", "share"),
    [
        (Shape(1.0, 0, None), None, GIB // 4),
        (Shape(2.0, 0, None), None, GIB // 2),
        (Shape(1.0, 0, None), 2, GIB // 2),
        (Shape(1.0, 1, None), None, GIB),
        (Shape(8.0, 0, None), None, GIB),
    ],
)
def test_a_share_of_memory_is_that_of_as_many_as_a_node_can_hold(shape: Shape, slots: int | None, share: int) -> None:
    assert shape.share({"CPU": 4.0, "GPU": 1.0, "memory": GIB}, slots) == share
    assert shape.share({"CPU": 4.0}, slots) is None
