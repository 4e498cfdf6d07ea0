//! What must be done before a task and what waits for it, drawn: one column a generation, and the same as lists for who does
//! not see it.

use std::collections::HashMap;

use maud::{Markup, html};
use store::tasks::Task;
use uuid::Uuid;

use super::parts::{cut, visible};

/// Sizes in pixels: a box, and the room between boxes.
const WIDTH: usize = 112;
const HEIGHT: usize = 34;
const ACROSS: usize = 16;
const DOWN: usize = 12;

/// Where a task's box stands: column from the left, and row.
type Place = (usize, usize);

/// Draws `task` with the tasks before it to its left and those after it to its right. The same stands in words beside it.
pub(crate) fn draw(task: &Task, before: &[Task], after: &[Task]) -> Markup {
    let places = places(task, before, after);
    let columns = places.iter().map(|(_, (column, _))| column + 1).max().unwrap_or(1);
    let rows = places.iter().map(|(_, (_, row))| row + 1).max().unwrap_or(1);
    let (width, height) = (columns * (WIDTH + ACROSS) - ACROSS, rows * (HEIGHT + DOWN) - DOWN);
    let corner = |(column, row): Place| (column * (WIDTH + ACROSS), row * (HEIGHT + DOWN));
    let place = |id: Uuid| places.iter().find(|(known, _)| *known == id).map(|(_, place)| corner(*place));
    let all = || before.iter().chain([task]).chain(after);
    html! {
        svg.graph viewBox={ "-2 -2 " (width + 4) " " (height + 4) } width=(width + 4) height=(height + 4) aria-hidden="true" focusable="false" {
            @for to in all() {
                @for from in &to.dependencies {
                    @if let (Some((x, y)), Some((end_x, end_y))) = (place(*from), place(to.id)) {
                        @let (start, from_y, to_y, half) = (x + WIDTH, y + HEIGHT / 2, end_y + HEIGHT / 2, ACROSS / 2);
                        path.edge d={ "M" (start) " " (from_y) "C" (start + half) " " (from_y) " " (end_x.saturating_sub(half)) " " (to_y) " " (end_x) " " (to_y) } {}
                    }
                }
            }
            @for one in all() {
                @if let Some((x, y)) = place(one.id) {
                    g.node.done[one.status == "completed"].here[one.id == task.id] {
                        rect x=(x) y=(y) width=(WIDTH) height=(HEIGHT) rx="4" {}
                        text x=(x + 8) y=(y + 21) { (if one.status == "completed" { "✓ " } else { "" }) (cut(&visible(&one.title), if one.status == "completed" { 11 } else { 13 })) }
                    }
                }
            }
        }
    }
}

/// A place for each: its column is how many steps lie between it and the task at most.
fn places(task: &Task, before: &[Task], after: &[Task]) -> Vec<(Uuid, Place)> {
    let pairs = |from: &Task| from.dependencies.iter().map(|needed| (from.id, *needed)).collect::<Vec<_>>();
    let left: Vec<(Uuid, Uuid)> = [task].into_iter().chain(before).flat_map(pairs).collect();
    let right: Vec<(Uuid, Uuid)> = after.iter().flat_map(pairs).map(|(waits, needed)| (needed, waits)).collect();
    let (left, right) = (steps(task.id, before, &left), steps(task.id, after, &right));
    let middle = left.values().max().copied().unwrap_or_default();
    let mut rows: HashMap<usize, usize> = HashMap::new();
    let columns = before.iter().filter_map(|t| Some((t.id, middle - left.get(&t.id)?)));
    let columns = columns.chain([(task.id, middle)]);
    let columns = columns.chain(after.iter().filter_map(|t| Some((t.id, middle + right.get(&t.id)?))));
    columns
        .map(|(id, column)| {
            let row = rows.entry(column).or_default();
            *row += 1;
            (id, (column, *row - 1))
        })
        .collect()
}

/// How many steps of `pairs` lie between a task and each of `among` at most.
fn steps(task: Uuid, among: &[Task], pairs: &[(Uuid, Uuid)]) -> HashMap<Uuid, usize> {
    let mut found = HashMap::from([(task, 0)]);
    // Each round moves a task as far away as whoever it hangs on asks; there are no cycles, so it comes to rest.
    for _ in 0..=among.len() {
        let mut is_moved = false;
        for (near, far) in pairs.iter().filter(|(_, far)| among.iter().any(|t| t.id == *far)) {
            let Some(steps) = found.get(near).map(|steps| steps + 1) else { continue };
            if found.get(far).is_none_or(|known| *known < steps) {
                found.insert(*far, steps);
                is_moved = true;
            }
        }
        if !is_moved {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u128, dependencies: &[u128]) -> Task {
        let now = store::now();
        Task {
            id: Uuid::from_u128(n),
            title: format!("t{n}"),
            description: None,
            status: "pending".to_owned(),
            priority: "low".to_owned(),
            assigned_to: None,
            created_by: None,
            created_at: now,
            updated_at: now,
            due_date: None,
            completed_at: None,
            estimated_duration: None,
            actual_duration: None,
            metadata: serde_json::json!({}),
            dependencies: dependencies.iter().map(|d| Uuid::from_u128(*d)).collect(),
            tags: Vec::new(),
        }
    }

    #[test]
    fn what_comes_first_stands_further_left_and_what_waits_further_right() {
        let (here, middle, first) = (task(1, &[2, 3]), task(2, &[3]), task(3, &[]));
        // The last waits for what waits, and for what is before the task.
        let (waits, last) = (task(4, &[1]), task(5, &[1, 4, 3]));
        let found = places(&here, &[middle, first], &[last, waits]);
        let column = |n| found.iter().find(|(id, _)| *id == Uuid::from_u128(n)).map(|(_, (column, _))| *column);
        assert_eq!([3, 2, 1, 4, 5].map(column), [0, 1, 2, 3, 4].map(Some));
        let alone = places(&here, &[], &[]);
        assert_eq!(alone, [(Uuid::from_u128(1), (0, 0))]);
    }
}
