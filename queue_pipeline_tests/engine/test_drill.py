from queue_pipeline import JobContext
from queue_pipeline.domain.drill import WORKSPACE
from queue_pipeline.store import drill as store
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.kitchen import Kitchen
from queue_pipeline_tests.engine.records import Records


def test_what_a_drill_sends_stays_in_the_outbox_whoever_is_asked_to_send_it(kitchen: Kitchen) -> None:
    def send(ctx: JobContext, _payload: object) -> None:
        ctx.send(channel="email", to="ada@example.com", body="Hello", purpose="reply", provider="somebody-real")

    kitchen.handle("test.send", send)
    kitchen.put("test.send", workspace=WORKSPACE)
    kitchen.drain()
    assert kitchen.rows("SELECT error FROM job_attempt WHERE outcome <> 'SUCCEEDED'") == []
    (sent,) = kitchen.rows("SELECT provider, state FROM outbound_message")
    assert (sent.provider, sent.state) == ("outbox", "SENT")


def test_nobody_has_to_review_or_do_what_a_drill_has_staged(db: Database) -> None:
    records = Records(db)
    job = records.job(workspace=WORKSPACE, kind="lead.inbound", ended=1)
    lead = records.lead(job, workspace=WORKSPACE)
    draft = records.draft(job, lead, 1)
    others = records.draft(records.job(ended=1), lead, 1)
    with db.begin() as tx:
        tx.exec_driver_sql(f"UPDATE draft SET workspace = '{WORKSPACE}' WHERE draft_id = {draft}")
        store.settle(tx, workspace=WORKSPACE)
        states = tx.exec_driver_sql("SELECT draft_id, state, decided_by FROM draft ORDER BY draft_id").fetchall()
    assert states == [(draft, "REJECTED", "drill"), (others, "FOR_REVIEW", None)]


def test_the_staged_incident_stays_as_evidence_and_the_rest_goes(db: Database) -> None:
    records = Records(db)
    kinds = ("drill.work", "drill.hang", "drill.freeze", "lead.inbound")
    jobs = {kind: records.job(workspace=WORKSPACE, kind=kind, ended=1) for kind in kinds}
    unfinished = records.job("PENDING", workspace=WORKSPACE, kind="drill.freeze")
    elsewhere = records.job(kind="drill.work", ended=1)
    with db.begin() as tx:
        assert store.remove(tx, workspace=WORKSPACE) == 3
        left = {row.job_id for row in tx.exec_driver_sql("SELECT job_id FROM job")}
    assert left == {jobs["drill.freeze"], jobs["lead.inbound"], elsewhere}
    assert unfinished not in left
