//! How a template's child comes to live in an empty sandbox: the template is asked for a child, the child says that it is
//! there, and the launcher looks whether that is true.

use super::furnish;
use super::lodging::{Housing, Lodger};
use super::member::{Inmate, Role, Work, tell};
use super::template::Template;
use super::tenant::{Baggage, Entered, Tenant};
use super::{Ends, Service, Source, epoll_add};
use crate::channel;
use crate::identity::Identity;
use crate::protocol::{Furniture, Report, SandboxRequest};
use crate::step::{Failure, Steps};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

impl Service {
    /// Starts a program that may be forked.
    pub(super) fn template(
        &mut self,
        request: &SandboxRequest,
        housing: Housing,
        ends: Ends,
        connection: BorrowedFd<'_>,
    ) -> Result<Work, Failure> {
        if self.bare.is_some() {
            let why = io::Error::other("without namespaces nothing is forked");
            return Err(Failure::new("fork", &why));
        }
        let maker = self.maker.as_mut().ok_or_else(super::unsupported)?;
        let pair = channel::pair().and_then(|(near, far)| {
            rustix::net::sockopt::set_socket_passcred(&near, true)?;
            Ok((near, far))
        });
        let (channel, far_channel) = pair.map_err(|error| Failure::new("clone", &error))?;
        let ends = Ends { control: Some(far_channel), ..ends };
        let (made, identity) = maker.make_template(request, &ends)?;
        let watched =
            (!maker.bounds_memory() && request.layers.cgroup).then_some(request.furniture.memory_bytes);
        let role = Role::Template(Box::new(Template::new(channel, identity, housing)));
        let inmate = Inmate::new(made, watched, role);
        inmate.say_made(&[], inmate.pid(), connection.try_clone_to_owned().ok().as_ref());
        Ok(Work::Sandbox(Box::new(inmate)))
    }

    /// Who a template that can be forked is on the host.
    pub(super) fn template_identity(&self, template: u64) -> Result<Identity, Failure> {
        Ok(self.ready_template(template)?.identity)
    }

    fn ready_template(&self, template: u64) -> Result<&Template, Failure> {
        let gone = || Failure::new("fork", &io::ErrorKind::NotFound.into());
        match self.members.get(&template).map(|member| &member.work) {
            Some(Work::Sandbox(inmate)) => match &inmate.role {
                Role::Template(template) if template.is_ready() => Ok(template),
                _ => Err(gone()),
            },
            _ => Err(gone()),
        }
    }

    /// A template has said something.
    pub(super) fn hear_template(&mut self, key: u64) {
        let Some(inmate) = self.inmate(key) else { return };
        let pid = inmate.pid();
        let Role::Template(template) = &mut inmate.role else { return };
        if let Some(heard) = template.heard(pid) {
            self.introduce(key, heard);
        }
    }

    /// Tells the server whether a template can be forked.
    fn introduce(&mut self, key: u64, heard: Result<(), String>) {
        // It says nothing after this.
        self.forget(key, Source::Line);
        let Some(member) = self.members.get_mut(&key) else { return };
        let report = match heard {
            Ok(()) => {
                if let Work::Sandbox(inmate) = &mut member.work
                    && let Role::Template(template) = &mut inmate.role
                {
                    self.housings.extend(template.housing.take().map(|housing| (Some(key), housing)));
                }
                self.calm.put_off();
                Report::Ready { template: key }
            }
            Err(why) => Report::Refused { why },
        };
        if let Some(connection) = member.connection() {
            tell(connection, &report, &[]);
        }
        if matches!(report, Report::Refused { .. }) {
            member.kill();
        }
    }

    /// Makes a sandbox ready for a lodger and asks the template for a child that enters it.
    pub(super) fn invite(&mut self, key: u64, template: u64, lodger: &Lodger) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::new("fork", &error);
        let steps = Steps(lodger.request.layers.fault.as_ref());
        let maker = self.maker.as_mut().ok_or_else(super::unsupported)?;
        let Some(Work::Sandbox(inmate)) = self.members.get_mut(&key).map(|member| &mut member.work) else {
            return Err(failed(io::ErrorKind::NotFound.into()));
        };
        furnish::furnish(maker, inmate, &lodger.request.furniture, steps)?;
        let (tenant, entry) =
            Tenant::new(lodger.request.listen.clone(), lodger.request.furniture.pids).map_err(failed)?;
        epoll_add(&self.epoll, tenant.entry(), key, Source::Entry).map_err(failed)?;
        let keys = inmate.quarters.take_keys();
        let layered = lodger.request.layers.cgroup;
        let doors = if layered { inmate.place.group.doors().map_err(failed)? } else { Vec::new() };
        inmate.place.group.entered();
        (inmate.role, inmate.waits) = (Role::Tenant(Box::new(tenant)), lodger.request.waits);
        let baggage = Baggage { keys: &keys, entry, ends: &lodger.ends, doors };
        let filter = self.maker.as_ref().map(|maker| &maker.filter[..]).unwrap_or_default();
        let processes = lodger.request.furniture.pids;
        self.ready_template(template)?.fork(&baggage, processes, filter).map_err(failed)
    }

    /// A child has said how it entered.
    pub(super) fn hear_entry(&mut self, key: u64) {
        let Some(tenant) = self.tenant(key) else { return };
        match tenant.entered() {
            Entered::Not => {}
            Entered::Here(pid) => {
                self.forget(key, Source::Entry);
                if let Err(failure) = self.admit_child(key, pid) {
                    self.fail(key, failure);
                }
            }
            Entered::Failed(failure) => {
                self.forget(key, Source::Entry);
                self.fail(key, failure);
            }
        }
    }

    fn admit_child(&mut self, key: u64, pid: rustix::process::Pid) -> Result<(), Failure> {
        let maker = self.maker.as_ref().ok_or_else(super::unsupported)?;
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        let Work::Sandbox(inmate) = &mut member.work else { return Ok(()) };
        let identity = inmate.place.identity;
        inmate.follow(pid.as_raw_nonzero().get());
        let Role::Tenant(tenant) = &mut inmate.role else { return Ok(()) };
        let admitted = tenant.admit(pid, identity);
        if let Some(program) = tenant.program() {
            epoll_add(&self.epoll, program, key, Source::Program)
                .map_err(|error| Failure::new("fork", &error))?;
        }
        admitted?;
        let most_processes = tenant.processes;
        if let Some(bytes) = inmate.limit() {
            let bounded =
                furnish::bound(pid, bytes).and_then(|()| furnish::bound_processes(pid, most_processes));
            bounded.map_err(|error| Failure::new("rlimits", &error))?;
        }
        let Role::Tenant(tenant) = &inmate.role else { return Ok(()) };
        let listeners = inmate
            .quarters
            .listeners(maker, &tenant.listen)
            .map_err(|error| Failure::new("network", &error))?;
        inmate.say_made(&listeners, pid.as_raw_nonzero().get(), member.connection.as_ref());
        Ok(())
    }

    /// A forked program has ended, and its sandbox with it.
    pub(super) fn hear_program(&mut self, key: u64) {
        let Some(tenant) = self.tenant(key) else { return };
        if tenant.bury() {
            self.forget(key, Source::Program);
        }
        if let Some(member) = self.members.get(&key) {
            member.kill();
        }
    }

    /// Makes an empty sandbox ready for its work.
    pub(super) fn furnish(&mut self, key: u64, furniture: &Furniture) {
        let Some(maker) = self.maker.as_mut() else { return };
        let Some(member) = self.members.get_mut(&key) else { return };
        let Work::Sandbox(inmate) = &mut member.work else { return };
        let report = match furnish::assign(maker, inmate, furniture) {
            Ok(()) => Report::Furnished,
            Err(failure) => Report::Failed(failure),
        };
        if let Some(connection) = &member.connection {
            tell(connection.as_fd(), &report, &[]);
        }
    }

    /// It will never live; nothing may be left of it.
    pub(super) fn fail(&mut self, key: u64, failure: Failure) {
        if let Some(inmate) = self.inmate(key) {
            inmate.fail(failure);
        }
        self.strays = true;
        if let Some(member) = self.members.get(&key) {
            member.kill();
        }
    }

    fn tenant(&mut self, key: u64) -> Option<&mut Tenant> {
        match &mut self.inmate(key)?.role {
            Role::Tenant(tenant) => Some(tenant),
            _ => None,
        }
    }
}
