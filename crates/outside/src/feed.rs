//! Feeds: RSS, Atom and JSON in one form, with conditional requests.

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    Result, Trouble,
    http::{Client, Request},
};

/// Entries of one feed that are looked at, the newest of them.
pub const MOST_ENTRIES: usize = 500;
/// Characters of a summary.
const SUMMARY_CHARS: usize = 4000;

/// What a feed said that it is now, so that it need not be sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Validators {
    /// `ETag`, as it was sent.
    pub etag: Option<String>,
    /// `Last-Modified`, as it was sent.
    pub last_modified: Option<String>,
}

/// An entry.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// What makes it the same entry; SHA-256 of the feed's own id for it.
    pub key: String,
    /// The feed's own id.
    pub id: String,
    /// Title, in plain text.
    pub title: String,
    /// Where it can be read.
    pub link: Option<String>,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// Its summary or content, in plain text, cut to 4,000 characters.
    pub summary: String,
    /// When it was published or last changed.
    pub at: Option<Timestamp>,
}

/// What a look at a feed gave.
#[derive(Debug, Clone)]
pub struct Look {
    /// The feed's title.
    pub title: String,
    /// Its entries, oldest first; none where it has not changed.
    pub entries: Vec<Entry>,
    /// What to ask with next time.
    pub validators: Validators,
}

/// Fetches a feed. None: it has not changed since `known`.
pub async fn fetch(
    client: &Client,
    url: &str,
    known: &Validators,
    headers: &[(String, String)],
) -> Result<Option<Look>> {
    let mut request = Request::get(url)
        .header("accept", "application/atom+xml, application/rss+xml, application/feed+json, */*;q=0.5");
    if let Some(etag) = &known.etag {
        request = request.header("if-none-match", etag);
    }
    if let Some(at) = &known.last_modified {
        request = request.header("if-modified-since", at);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = client.send(request).await?.good()?;
    if answer.status == 304 {
        return Ok(None);
    }
    let validators = Validators {
        etag: answer.header("etag").map(str::to_owned),
        last_modified: answer.header("last-modified").map(str::to_owned),
    };
    let (title, entries) = parse(&answer.body)?;
    Ok(Some(Look { title, entries, validators }))
}

/// Reads a feed: its title and its entries, oldest first.
pub fn parse(bytes: &[u8]) -> Result<(String, Vec<Entry>)> {
    let feed = feed_rs::parser::parse(bytes).map_err(|e| {
        Trouble::lasting(format!(
            "this is no feed ({e}); give the address of the feed itself, not of the page that names it"
        ))
    })?;
    let title = feed.title.map(|t| plain(&t.content)).unwrap_or_default();
    let mut entries: Vec<Entry> = feed.entries.into_iter().take(MOST_ENTRIES).map(entry).collect();
    // Feeds bring the newest first; where the dates are equal or missing, that order is kept, turned round.
    entries.reverse();
    entries.sort_by_key(|e| e.at);
    Ok((title, entries))
}

fn entry(entry: feed_rs::model::Entry) -> Entry {
    let link = entry.links.iter().find(|l| l.rel.as_deref().is_none_or(|r| r == "alternate")).or(entry.links.first());
    let body = entry.summary.map(|s| s.content).or(entry.content.and_then(|c| c.body)).unwrap_or_default();
    let at = entry.published.or(entry.updated).and_then(|t| Timestamp::from_second(t.timestamp()).ok());
    Entry {
        key: hex::encode(Sha256::digest(&entry.id)),
        title: entry
            .title
            .map(|t| plain(&t.content))
            .filter(|t| !t.is_empty())
            .unwrap_or_else(|| "(no title)".to_owned()),
        link: link.map(|l| l.href.clone()),
        authors: entry.authors.into_iter().map(|a| a.name).take(10).collect(),
        summary: plain(&body).chars().take(SUMMARY_CHARS).collect(),
        at,
        id: entry.id,
    }
}

/// The words of a piece of HTML.
pub fn plain(html: &str) -> String {
    let text = if html.contains(['<', '&']) {
        scraper::Html::parse_fragment(html)
            .root_element()
            .descendants()
            .filter_map(|node| match node.value() {
                scraper::Node::Text(text)
                    if !node
                        .parent()
                        .and_then(|p| p.value().as_element().map(|e| matches!(e.name(), "script" | "style")))
                        .unwrap_or(false) =>
                {
                    Some(text.to_string())
                }
                _ => None,
            })
            .collect::<Vec<_>>()
            .join(" ")
    } else {
        html.to_owned()
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_of_feeds_read_alike() {
        let rss = r#"<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><link>https://x.test/</link><description>d</description>
            <item><guid>b</guid><title>Second &amp; last</title><link>https://x.test/b</link><pubDate>Tue, 03 Nov 2026 10:00:00 GMT</pubDate>
              <description>&lt;p&gt;Two &lt;b&gt;words&lt;/b&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;/p&gt;</description></item>
            <item><guid>a</guid><title>First</title><link>https://x.test/a</link><pubDate>Mon, 02 Nov 2026 10:00:00 GMT</pubDate></item></channel></rss>"#;
        let (title, entries) = parse(rss.as_bytes()).unwrap();
        assert_eq!(title, "News");
        assert_eq!(entries.iter().map(|e| e.title.as_str()).collect::<Vec<_>>(), ["First", "Second & last"]);
        assert_eq!(entries[1].summary, "Two words");
        assert_eq!(entries[1].link.as_deref(), Some("https://x.test/b"));
        let atom = r#"<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title><id>f</id><updated>2026-11-01T00:00:00Z</updated>
            <entry><id>b</id><title type="html">Second &amp;amp; last</title><updated>2026-11-03T10:00:00Z</updated><author><name>Ada</name></author></entry></feed>"#;
        let (_, of_atom) = parse(atom.as_bytes()).unwrap();
        assert_eq!((of_atom[0].title.as_str(), &of_atom[0].key), ("Second & last", &entries[1].key), "one id, one key");
        assert_eq!(of_atom[0].authors, ["Ada"]);
        let json = r#"{"version":"https://jsonfeed.org/version/1.1","title":"J","items":[{"id":"b","title":"Second","content_text":"x","date_published":"2026-11-03T10:00:00Z"}]}"#;
        let (_, of_json) = parse(json.as_bytes()).unwrap();
        assert_eq!((of_json[0].key.as_str(), of_json[0].at), (entries[1].key.as_str(), entries[1].at));
    }

    #[test]
    fn what_is_no_feed_is_told_so() {
        assert!(parse(b"<html><body>hello</body></html>").unwrap_err().message.contains("no feed"));
    }
}
