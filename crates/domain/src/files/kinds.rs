//! What a file is called and what it is, as far as its first bytes tell.

/// Characters of a type.
const KIND_CHARS: usize = 100;

/// A name that is safe on any system and never a path.
pub fn safe_name(name: &str) -> String {
    let clean: String =
        name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c }).take(255).collect();
    if clean.trim_matches(['.', ' ']).is_empty() { "file".to_owned() } else { clean }
}

/// What a file is, by its first bytes; of texts, which all begin alike, by what kind of text its name promises. Never
/// trusted all the same.
pub fn kind_of(head: &[u8], name: &str) -> String {
    let seen = infer::get(head).map(|kind| kind.mime_type());
    let kind = match seen {
        Some(kind) => kind.to_owned(),
        None if is_text(head) => {
            let promised = mime_guess::from_path(name).first();
            let promised = promised.as_ref().map(mime_guess::Mime::essence_str).unwrap_or_default();
            let is_kind_of_text = promised.starts_with("text/")
                || ["application/json", "application/xml", "message/rfc822", "image/svg+xml"].contains(&promised);
            if is_kind_of_text { promised } else { "text/plain" }.to_owned()
        }
        None => "application/octet-stream".to_owned(),
    };
    kind.chars().take(KIND_CHARS).collect()
}

fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut off.
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default(),
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|c| c.is_control() && !"\t\n\r\u{c}\u{1b}".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_touch_a_path() {
        for (name, safe) in [
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("a\nb", "a_b"),
            ("..", "file"),
            ("Rechnung März.pdf", "Rechnung März.pdf"),
        ] {
            assert_eq!(safe_name(name), safe);
        }
        assert_eq!(safe_name(&"ä".repeat(400)).chars().count(), 255);
    }

    #[test]
    fn the_content_says_what_it_is() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        for (head, name, kind) in [
            (&png[..], "letter.txt", "image/png"),
            (b"%PDF-1.7\n%\xe2\xe3", "x", "application/pdf"),
            (b"<!DOCTYPE html><script>", "holiday.png", "text/html"),
            (b"plain words", "holiday.png", "text/plain"),
            (b"a,b\n1,2\n", "list.csv", "text/csv"),
            (b"{\"a\": 1}", "a.json", "application/json"),
            ("Grüße ü".as_bytes().split_last().unwrap().1, "gruss", "text/plain"),
            (b"\0\x01\x02\xff", "list.csv", "application/octet-stream"),
            (b"", "empty.txt", "application/octet-stream"),
        ] {
            assert_eq!(kind_of(head, name), kind, "{name}");
        }
    }
}
