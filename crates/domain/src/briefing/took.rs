//! How long the employee worked: runs within the period, without the time in which they waited for a person.

use jiff::{SignedDuration, Timestamp};
use store::briefing::{BriefApproval, BriefRun};

/// What of the runs that ended lies between `from` and `to`, but for when a question of the same task was open.
pub(super) fn worked(runs: &[BriefRun], approvals: &[BriefApproval], from: Timestamp, to: Timestamp) -> SignedDuration {
    let spans = runs.iter().filter_map(|run| {
        let (begun, ended) = (run.started_at.max(from), run.finished_at?.min(to));
        let asked = approvals.iter().filter(|a| a.task_id == Some(run.task_id)).map(|a| {
            let over = a.approved_at.or(a.rejected_at).unwrap_or(a.expires_at);
            (a.created_at.max(begun), over.min(ended))
        });
        Some(span(begun, ended).saturating_sub(covered(asked.collect())))
    });
    spans.fold(SignedDuration::ZERO, SignedDuration::saturating_add)
}

/// How long at least one of the spans lasted.
fn covered(mut spans: Vec<(Timestamp, Timestamp)>) -> SignedDuration {
    spans.sort_unstable();
    let (mut sum, mut reached) = (SignedDuration::ZERO, Timestamp::MIN);
    for (begin, end) in spans {
        sum = sum.saturating_add(span(begin.max(reached), end));
        reached = reached.max(end);
    }
    sum
}

fn span(begin: Timestamp, end: Timestamp) -> SignedDuration {
    end.duration_since(begin).max(SignedDuration::ZERO)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use store::briefing::{BriefApproval, BriefRun};
    use uuid::Uuid;

    use super::worked;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + 60 * minute).unwrap()
    }

    #[test]
    fn waiting_for_a_person_is_not_the_employee_s_time() {
        let (task, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let run = |task_id, begun, ended: Option<i64>| BriefRun {
            task_id,
            playbook: "x".to_owned(),
            started_at: at(begun),
            finished_at: ended.map(at),
        };
        let asked = |task_id, asked, decided: Option<i64>, until| BriefApproval {
            id: Uuid::nil(),
            task_id: Some(task_id),
            status: "approved".to_owned(),
            created_at: at(asked),
            approved_at: decided.map(at),
            rejected_at: None,
            expires_at: at(until),
        };
        // A run of 100 minutes of which 60 waited, twice at once for a while; and one of another task.
        let runs = [run(task, 0, Some(100)), run(other, 0, Some(5)), run(other, 50, None)];
        let approvals = [asked(task, 10, Some(50), 1000), asked(task, 40, None, 70), asked(other, 80, Some(90), 100)];
        let minutes = |runs: &[BriefRun], from| worked(runs, &approvals, at(from), at(500)).as_mins();
        assert_eq!(minutes(&runs, -10), 45);
        assert_eq!(minutes(&runs, 80), 20, "of the period alone");
        // Given anew: what each run took counts.
        let runs = [run(other, 0, Some(5)), run(other, 50, Some(100))];
        assert_eq!(minutes(&runs, -10), 45);
        assert_eq!(worked(&[], &approvals, at(0), at(1)), SignedDuration::ZERO);
    }
}
