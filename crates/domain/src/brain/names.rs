//! The names under which tools are offered to a model. Providers take letters, digits, `_` and `-`, at most 64 of them; a
//! server's or a tool's own name may hold anything, so each offered name is looked up again, never taken apart.

use std::collections::BTreeMap;

use store::mcp_servers::ServerTool;

use crate::playbook::sha256_hex;

/// Providers' common limit, in characters.
const MAX_CHARS: usize = 64;

/// A tool as it is offered.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The server's name.
    pub server: String,
    /// The tool.
    pub tool: ServerTool,
}

/// The tools of a question by the names they are offered under.
pub type Offer = BTreeMap<String, Offered>;

/// Names the tools that may be used now. The same tools get the same names, whatever order they come in.
pub fn offer(tools: impl IntoIterator<Item = Offered>) -> Offer {
    let mut tools: Vec<Offered> = tools.into_iter().filter(|o| o.tool.is_usable()).collect();
    tools.sort_by(|a, b| (&a.server, &a.tool.name).cmp(&(&b.server, &b.tool.name)));
    let mut named = Offer::new();
    for offered in tools {
        let plain = plain(&offered.server, &offered.tool.name);
        let exact = plain == format!("{}__{}", offered.server, offered.tool.name);
        // Two that would look alike, or one that had to be changed, carry a mark of their real name.
        let name = if exact && !named.contains_key(&plain) {
            plain
        } else {
            let mark = sha256_hex(&format!("{}\u{0}{}", offered.server, offered.tool.name));
            format!("{}_{}", plain.chars().take(MAX_CHARS - 9).collect::<String>(), &mark[..8])
        };
        named.insert(name, offered);
    }
    named
}

fn plain(server: &str, tool: &str) -> String {
    format!("{server}__{tool}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
        .take(MAX_CHARS)
        .collect()
}
