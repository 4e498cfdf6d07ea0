//! Ready-made rules. Applied, they are ordinary rules: seen, changed and removed like any other.

use store::{
    Actor, Store,
    policies::{self, Asking, NewPolicy},
};

use crate::{Error, Result, policy::DEFAULT_APPROVAL_TTL_MINUTES, rules};

/// Tools that only look, by the words of the names that servers give them.
const READING: &str = "~{read,read_*,get_*,list,list_*,search,search_*,find_*,describe_*,show_*,count_*}";
/// Tools that move money.
const PAYING: &str =
    "~{pay,pay_*,*_pay,*_pay_*,*payment*,*payout*,*transfer*,*send_money*,*sendmoney*,*checkout*,*charge*,*refund*}";
/// Tools that write to people.
const MAILING: &str =
    "~{*send_mail*,*send_email*,*send_e_mail*,*send_message*,*reply_mail*,*reply_email*,*reply_to_email*}";

/// A set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub says: &'static str,
}

/// All of them.
pub const PRESETS: [Preset; 4] = [
    Preset { name: "watch-only", says: "nothing is called at all: watchers and tasks, and the hands tied" },
    Preset { name: "ask-for-everything", says: "a person decides about every call" },
    Preset {
        name: "trusted-reading",
        says: "tools that only look may be called without asking, also on content from outside",
    },
    Preset {
        name: "community",
        says: "payments always ask, with the password, and are never made again by themselves; people among the contacts may be \
               written to, up to 20 times an hour",
    },
];

/// A rule of a preset.
struct Ready {
    rule: NewPolicy,
    risk: &'static str,
    asking: Asking,
    /// Before all rules that stand, or after them.
    is_first: bool,
}

fn ready(name: &str, server: &str, tool: &str, effect: &str) -> Ready {
    let rule = NewPolicy {
        position: 0,
        name: name.to_owned(),
        server: server.to_owned(),
        tool: tool.to_owned(),
        condition: None,
        outside: false,
        effect: effect.to_owned(),
        approval_ttl_minutes: DEFAULT_APPROVAL_TTL_MINUTES,
    };
    Ready { rule, risk: "normal", asking: Asking::default(), is_first: false }
}

fn rules_of(preset: &str, server: &str) -> Option<Vec<Ready>> {
    Some(match preset {
        "watch-only" => vec![Ready { is_first: true, ..ready("watch only: nothing is called", server, "*", "deny") }],
        "ask-for-everything" => vec![Ready { is_first: true, ..ready("ask for everything", server, "*", "ask") }],
        "trusted-reading" => {
            let mut reading = ready("trusted reading", server, READING, "allow");
            reading.rule.outside = true;
            vec![reading]
        }
        "community" => {
            let mut paying = ready("payments always ask", server, PAYING, "ask");
            (paying.risk, paying.is_first) = ("high", true);
            paying.asking.never_repeat = true;
            let mut many = ready("at most 20 mails an hour", server, MAILING, "ask");
            (many.is_first, many.rule.condition) = (true, Some(format!("calls(\"{MAILING}\", \"1h\") >= 20")));
            let mut known = ready("known people may be written to", server, MAILING, "allow");
            known.rule.outside = true;
            known.rule.condition = Some(
                "known(args.to) && (!has(args.cc) || known(args.cc)) && (!has(args.bcc) || known(args.bcc))".to_owned(),
            );
            vec![paying, many, known]
        }
        _ => return None,
    })
}

/// Adds a preset's rules for the servers of a pattern, and answers each rule's name with whether it was added: one that
/// stands under its name already is left as it is.
pub async fn apply(store: &Store, actor: &Actor, preset: &str, server: &str) -> Result<Vec<(String, bool)>> {
    let Some(wanted) = rules_of(preset, server) else {
        let names: Vec<&str> = PRESETS.iter().map(|p| p.name).collect();
        return Err(Error::invalid("preset", format!("there is no preset {preset:?}; there are {}", names.join(", "))));
    };
    let actor = actor.clone();
    store
        .transaction(move |tx| {
            Box::pin(async move {
                let standing = policies::list(&actor, tx).await?;
                let mut done = Vec::new();
                // Those that go first go there in their own order.
                let mut place = 1;
                for Ready { rule, risk, asking, is_first } in wanted {
                    let name = rule.name.clone();
                    if standing.iter().any(|row| row.name == name) {
                        done.push((name, false));
                        continue;
                    }
                    let position = is_first.then_some(place);
                    place += i32::from(is_first);
                    rules::add_whole(tx, &actor, rule, position, risk, &asking).await?;
                    done.push((name, true));
                }
                Ok(done)
            })
        })
        .await
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{MAILING, PAYING, PRESETS, READING, rules_of};
    use crate::policy::{Effect, Rule, names, validate};

    #[test]
    fn names_are_met_however_a_server_writes_them() {
        let met = |pattern: &str, tool: &str| names("*", pattern, "any", tool);
        for tool in [
            "pay",
            "Pay",
            "pay_invoice",
            "payInvoice",
            "PayInvoice",
            "pay-invoice",
            "invoice.pay",
            "billPayNow",
            "createPayment",
            "create_payment",
            "CREATE_PAYMENT",
            "sendMoney",
            "SendMoney",
            "send-money",
            "sendmoney",
            "wireTransfer",
            "startCheckout",
            "chargeCard",
            "refundOrder",
            "createPayout",
        ] {
            assert!(met(PAYING, tool), "{tool} moves money");
            assert!(!met(READING, tool) && !met(MAILING, tool), "{tool} moves money");
        }
        for tool in
            ["send_mail", "sendMail", "SendEmail", "send-email", "gmailSendMessage", "replyToEmail", "SEND_MAIL"]
        {
            assert!(met(MAILING, tool), "{tool} writes to people");
            assert!(!met(READING, tool) && !met(PAYING, tool), "{tool} writes to people");
        }
        for tool in ["read", "readFile", "read_file", "ListIssues", "get-page", "searchMail", "describeTable"] {
            assert!(met(READING, tool), "{tool} only looks");
        }
        for tool in
            ["ready", "payload", "listen", "getaway", "finder", "counterSign", "unreadAll", "sendingList", "showdown"]
        {
            for pattern in [READING, PAYING, MAILING] {
                assert!(!met(pattern, tool), "{tool} is none of {pattern}");
            }
        }
    }

    #[test]
    fn every_preset_can_be_kept() {
        for preset in PRESETS {
            for (at, ready) in rules_of(preset.name, "*").unwrap().into_iter().enumerate() {
                let rule = Rule {
                    id: Uuid::nil(),
                    position: i32::try_from(at).unwrap() + 1,
                    name: ready.rule.name,
                    server: ready.rule.server,
                    tool: ready.rule.tool,
                    condition: ready.rule.condition,
                    outside: ready.rule.outside,
                    effect: Effect::Ask,
                    approval_ttl_minutes: ready.rule.approval_ttl_minutes,
                };
                validate(&rule).unwrap();
            }
        }
        assert!(rules_of("none", "*").is_none());
    }
}
