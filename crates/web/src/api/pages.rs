//! What every list takes.

use utoipa::IntoParams;

/// What every list takes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes; `Params` reads what is sent")]
pub(super) struct Page {
    /// Rows of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// Where the page begins: the `next` of the page before.
    cursor: Option<String>,
    /// Only these fields of each row, separated by commas.
    fields: Option<String>,
}

/// Cuts a list that is known whole to a page. The cursor is the key of the page's last row.
pub(crate) fn cut<T>(
    rows: Vec<T>,
    params: &crate::params::Params,
    key: impl Fn(&T) -> String,
) -> crate::fault::Result<(Vec<T>, Option<String>)> {
    let limit = usize::try_from(params.limit()?).unwrap_or(usize::MAX);
    let mut rest = match params.get("cursor") {
        None => rows,
        Some(cursor) => {
            let place = rows.iter().position(|row| key(row) == cursor);
            let Some(place) = place else { return Err(crate::params::wrong_cursor()) };
            rows.into_iter().skip(place + 1).collect()
        }
    };
    let has_more = rest.len() > limit;
    rest.truncate(limit);
    let next = rest.last().filter(|_| has_more).map(key);
    Ok((rest, next))
}

#[cfg(test)]
mod tests {
    use super::cut;
    use crate::params::Params;

    #[test]
    fn a_whole_list_is_cut_into_pages() {
        let params = |cursor: &str| {
            let all = [("limit", "2"), ("cursor", cursor)].into_iter().filter(|(_, value)| !value.is_empty());
            Params(all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        };
        let page = |cursor: &str| cut(vec![1, 2, 3, 4, 5], &params(cursor), ToString::to_string);
        assert_eq!(page("").unwrap(), (vec![1, 2], Some("2".to_owned())));
        assert_eq!(page("2").unwrap(), (vec![3, 4], Some("4".to_owned())));
        assert_eq!(page("4").unwrap(), (vec![5], None));
        assert_eq!(page("5").unwrap(), (vec![], None));
        assert_eq!(page("9").unwrap_err().errors[0].field, "cursor");
    }
}
