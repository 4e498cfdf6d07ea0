//! What must be done before a task, drawn: one column a generation, and the same as a list for who does not see it.

use maud::{Markup, html};
use store::tasks::Task;
use uuid::Uuid;

use super::parts::{cut, say, state, visible};

/// Sizes in pixels: a box, and the room between boxes.
const WIDTH: usize = 160;
const HEIGHT: usize = 34;
const ACROSS: usize = 40;
const DOWN: usize = 12;

/// Where a task's box stands: column from the right, and row.
type Place = (usize, usize);

/// Draws `task` at the right, with the tasks before it to its left.
pub(crate) fn draw(task: &Task, before: &[Task]) -> Markup {
    let places = places(task, before);
    let columns = places.iter().map(|(_, (column, _))| column + 1).max().unwrap_or(1);
    let rows = places.iter().map(|(_, (_, row))| row + 1).max().unwrap_or(1);
    let (width, height) = (columns * (WIDTH + ACROSS) - ACROSS, rows * (HEIGHT + DOWN) - DOWN);
    let corner = |(column, row): Place| ((columns - 1 - column) * (WIDTH + ACROSS), row * (HEIGHT + DOWN));
    let place = |id: Uuid| places.iter().find(|(known, _)| *known == id).map(|(_, place)| corner(*place));
    let all = || before.iter().chain([task]);
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
                        text x=(x + 8) y=(y + 21) { (if one.status == "completed" { "✓ " } else { "" }) (cut(&visible(&one.title), 21)) }
                    }
                }
            }
        }
        ul.lines {
            @for id in &task.dependencies {
                li {
                    @match before.iter().find(|t| t.id == *id) {
                        Some(one) => { a href={ "/tasks/" (one.id) } { (say(&one.title)) } " " (state(&one.status)) },
                        None => span.soft { "a task you may not see" },
                    }
                }
            }
        }
    }
}

/// A place for each: the column is how many steps lie between it and the task at most.
fn places(task: &Task, before: &[Task]) -> Vec<(Uuid, Place)> {
    let mut columns: Vec<(Uuid, usize)> = vec![(task.id, 0)];
    // Each round moves a task as far left as whoever needs it asks; there are no cycles, so it comes to rest.
    for _ in 0..=before.len() {
        let mut is_moved = false;
        for to in [task].into_iter().chain(before) {
            let Some(column) = columns.iter().find(|(id, _)| *id == to.id).map(|(_, c)| *c) else { continue };
            for from in to.dependencies.iter().filter(|id| before.iter().any(|t| t.id == **id)) {
                match columns.iter_mut().find(|(id, _)| id == from) {
                    Some((_, at)) if *at > column => {}
                    Some((_, at)) => {
                        *at = column + 1;
                        is_moved = true;
                    }
                    None => {
                        columns.push((*from, column + 1));
                        is_moved = true;
                    }
                }
            }
        }
        if !is_moved {
            break;
        }
    }
    let mut rows = vec![0; before.len() + 2];
    columns
        .into_iter()
        .map(|(id, column)| {
            let column = column.min(before.len());
            let row = rows[column];
            rows[column] += 1;
            (id, (column, row))
        })
        .collect()
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
    fn what_comes_first_stands_further_left() {
        let (last, middle, first) = (task(1, &[2, 3]), task(2, &[3]), task(3, &[]));
        let found = places(&last, &[middle, first]);
        let column = |n| found.iter().find(|(id, _)| *id == Uuid::from_u128(n)).map(|(_, (column, _))| *column);
        assert_eq!((column(1), column(2), column(3)), (Some(0), Some(1), Some(2)));
    }
}
