//! Who acts: every read and write carries one, and the database decides by it.

use std::net::IpAddr;

use uuid::Uuid;

/// Under whose rights a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A row of `users`: a person or an agent.
    User(Uuid),
    /// Nobody known: sees nothing.
    Anonymous,
    /// Steward itself where no person acts (log-in, supervision, expiry): decides nothing, edits no task.
    Service,
}

/// A principal with what the audit trail wants to know about the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub principal: Principal,
    /// Address the request came from.
    pub ip_address: Option<IpAddr>,
    /// Program the request came from; cut to 255 characters.
    pub user_agent: Option<String>,
    /// The request's id in logs.
    pub request_id: Option<String>,
}

impl Actor {
    /// A user, without a request behind it.
    pub fn user(id: Uuid) -> Self {
        Self::of(Principal::User(id))
    }

    /// Steward itself.
    pub fn service() -> Self {
        Self::of(Principal::Service)
    }

    /// Nobody.
    pub fn anonymous() -> Self {
        Self::of(Principal::Anonymous)
    }

    fn of(principal: Principal) -> Self {
        Self { principal, ip_address: None, user_agent: None, request_id: None }
    }

    /// The same actor, with the request's address, program and id.
    #[must_use]
    pub fn from_request(mut self, ip: Option<IpAddr>, user_agent: Option<&str>, request_id: Option<&str>) -> Self {
        let cut = |s: &str| s.chars().take(255).filter(|c| !c.is_control()).collect::<String>();
        self.ip_address = ip;
        self.user_agent = user_agent.map(cut);
        self.request_id = request_id.map(cut);
        self
    }

    /// The user's id, if the actor is a user.
    pub fn user_id(&self) -> Option<Uuid> {
        match self.principal {
            Principal::User(id) => Some(id),
            Principal::Anonymous | Principal::Service => None,
        }
    }

    pub(crate) fn database_role(&self) -> &'static str {
        match self.principal {
            Principal::Service => "app_service",
            Principal::User(_) | Principal::Anonymous => "app_user",
        }
    }
}
