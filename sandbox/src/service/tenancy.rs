//! How a template's child comes to live in a sandbox: the empty sandbox says that it is built, the template is asked for
//! a child, the child says that it is there, and the launcher looks whether that is true.

use super::furnish;
use super::member::{Inmate, Member, Role, Work, tell};
use super::tenant::{Entered, Tenant};
use super::{Ends, Service, Source};
use crate::channel;
use crate::netns;
use crate::protocol::{Furniture, Report, SandboxRequest};
use crate::step::Failure;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

impl Service {
    /// Starts a program that may be forked.
    pub(super) fn template(
        &mut self,
        request: &SandboxRequest,
        ends: Ends,
        connection: BorrowedFd<'_>,
    ) -> Result<Work, Failure> {
        let maker = self.maker.as_mut().ok_or_else(super::unsupported)?;
        let pair = channel::pair().and_then(|(near, far)| {
            rustix::net::sockopt::set_socket_passcred(&near, true)?;
            Ok((near, far))
        });
        let (channel, far_channel) = pair.map_err(|error| Failure::new("clone", &error))?;
        let ends = Ends { control: Some(far_channel), ..ends };
        let (made, identity) = maker.make_template(request, &ends)?;
        let role = Role::Template(super::template::Template::new(channel, identity));
        Ok(Work::Sandbox(Box::new(self.move_in(made, request, role, connection))))
    }

    /// Makes a sandbox for a template's child; the rest follows when it is built.
    pub(super) fn fork(
        &mut self,
        template: u64,
        request: &SandboxRequest,
        ends: Ends,
    ) -> Result<Work, Failure> {
        let gone = || Failure::new("fork", &io::ErrorKind::NotFound.into());
        let owner = match self.members.get(&template).map(|member| &member.work) {
            Some(Work::Sandbox(inmate)) => match &inmate.role {
                Role::Template(template) if template.is_ready() => template.identity,
                _ => return Err(gone()),
            },
            _ => return Err(gone()),
        };
        let maker = self.maker.as_mut().ok_or_else(super::unsupported)?;
        let control = ends.control.as_ref().map(|control| control.try_clone());
        let given = (|| {
            let control = control.ok_or(io::ErrorKind::InvalidInput)??;
            Ok([ends.stdout.try_clone()?, ends.stderr.try_clone()?, control])
        })();
        let given = given.map_err(|error: io::Error| Failure::new("request", &error))?;
        let made = maker.make_vacant(request, &Ends { control: None, ..ends }, owner)?;
        let doors = if request.layers.cgroup { made.place.group.doors() } else { Ok(Vec::new()) };
        let tenant = doors.and_then(|doors| Tenant::new(template, request.listen.clone(), given, doors));
        match tenant {
            Ok(tenant) => {
                let watched =
                    (!maker.bounds_memory() && request.layers.cgroup).then_some(request.memory_bytes);
                let role = Role::Tenant(Box::new(tenant));
                Ok(Work::Sandbox(Box::new(Inmate::new(made, watched, role, request.waits))))
            }
            Err(error) => {
                super::survey::bury(maker, &made);
                Err(Failure::new("fork", &error))
            }
        }
    }

    /// A template, an empty sandbox or one that waits for its work has said something.
    pub(super) fn hear_line(&mut self, key: u64) {
        let Some(member) = self.members.get_mut(&key) else { return };
        let Work::Sandbox(inmate) = &mut member.work else { return };
        let pid = inmate.pid();
        if let Role::Template(template) = &mut inmate.role {
            let Some(heard) = template.heard(pid) else { return };
            return self.introduce(key, heard);
        }
        let mut built = match channel::receive(inmate.line(), false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(Some(message)) => message.fds,
            // Its end comes as an event of its own.
            _ => return self.forget(key, Source::Line),
        };
        if let Role::Waiting(mounts) = &mut inmate.role {
            *mounts = built.pop();
            return self.forget(key, Source::Line);
        }
        self.forget(key, Source::Line);
        if let Err(failure) = self.invite(key, built) {
            self.fail(key, failure);
        }
    }

    /// Tells the server whether a template can be forked.
    fn introduce(&mut self, key: u64, heard: Result<(), String>) {
        // It says nothing after this.
        self.forget(key, Source::Line);
        let Some(member) = self.members.get(&key) else { return };
        let report = match heard {
            Ok(()) => Report::Ready { template: key },
            Err(why) => Report::Refused { why },
        };
        if let Some(connection) = member.connection() {
            tell(connection, &report, &[]);
        }
        if matches!(report, Report::Refused { .. }) {
            member.kill();
        }
    }

    /// Asks the template for a child, now that there is a place for it.
    fn invite(&mut self, key: u64, namespaces: Vec<std::os::fd::OwnedFd>) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::new("fork", &error);
        let tenant = self.tenant(key).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let baggage = tenant.built(namespaces).map_err(failed)?;
        let template = tenant.template;
        let maker = self.maker.as_ref().ok_or_else(super::unsupported)?;
        match self.members.get(&template).map(|member| &member.work) {
            Some(Work::Sandbox(inmate)) => match &inmate.role {
                Role::Template(template) => template.fork(&baggage, &maker.filter).map_err(failed),
                _ => Err(failed(io::ErrorKind::NotFound.into())),
            },
            _ => Err(failed(io::ErrorKind::NotFound.into())),
        }
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
            let token = super::token(key, Source::Program);
            rustix::event::epoll::add(&self.epoll, program, token, rustix::event::epoll::EventFlags::IN)
                .map_err(|error| Failure::new("fork", &error.into()))?;
        }
        admitted?;
        if let Some(bytes) = inmate.limit() {
            furnish::bound(pid, bytes).map_err(|error| Failure::new("rlimits", &error))?;
        }
        let Role::Tenant(tenant) = &mut inmate.role else { return Ok(()) };
        let listeners = match tenant.network() {
            Some(network) => maker.home.within(network, || netns::listeners(&tenant.listen)),
            None => Ok(Vec::new()),
        };
        let listeners = listeners.map_err(|error| Failure::new("network", &error))?;
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

    /// Makes a sandbox that waits ready for its work.
    pub(super) fn furnish(&mut self, key: u64, furniture: &Furniture) {
        // What its first process has said may come later than the order that follows from it.
        if self.members.get(&key).is_some_and(Member::owes_mounts) {
            self.hear_line(key);
        }
        let Some(maker) = self.maker.as_mut() else { return };
        let Some(member) = self.members.get_mut(&key) else { return };
        let Work::Sandbox(inmate) = &mut member.work else { return };
        let report = match furnish::furnish(maker, inmate, furniture) {
            Ok(()) => Report::Furnished,
            Err(failure) => Report::Failed(failure),
        };
        if let Some(connection) = &member.connection {
            tell(connection.as_fd(), &report, &[]);
        }
    }

    /// It will never live; nothing may be left of it.
    fn fail(&mut self, key: u64, failure: Failure) {
        if let Some(tenant) = self.tenant(key) {
            tenant.fail(failure);
        }
        self.strays = true;
        if let Some(member) = self.members.get(&key) {
            member.kill();
        }
    }

    fn tenant(&mut self, key: u64) -> Option<&mut Tenant> {
        match &mut self.members.get_mut(&key)?.work {
            Work::Sandbox(inmate) => match &mut inmate.role {
                Role::Tenant(tenant) => Some(tenant),
                _ => None,
            },
            _ => None,
        }
    }
}
