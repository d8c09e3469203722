EXTRA_DIST += systemd/fdiald.socket systemd/fdiald.service.in \
	systemd/fdial-modules.conf systemd/fdial-sysusers.conf systemd/fdial-tmpfiles.conf

if INSTALL_UNITS
sysusersdir = $(prefix)/lib/sysusers.d
modulesloaddir = $(prefix)/lib/modules-load.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d
dist_systemdsystemunit_DATA = systemd/fdiald.socket
nodist_systemdsystemunit_DATA = systemd/fdiald.service
CLEANFILES += systemd/fdiald.service

systemd/fdiald.service: systemd/fdiald.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) systemd && \
		sed 's|@sbindir[@]|$(sbindir)|g' $(srcdir)/systemd/fdiald.service.in >$@.tmp && mv $@.tmp $@

install-data-hook: install-fragments
install-fragments:
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)' '$(DESTDIR)$(modulesloaddir)' '$(DESTDIR)$(tmpfilesdir)'
	$(INSTALL_DATA) $(srcdir)/systemd/fdial-sysusers.conf '$(DESTDIR)$(sysusersdir)/fdial.conf'
	$(INSTALL_DATA) $(srcdir)/systemd/fdial-modules.conf '$(DESTDIR)$(modulesloaddir)/fdial.conf'
	$(INSTALL_DATA) $(srcdir)/systemd/fdial-tmpfiles.conf '$(DESTDIR)$(tmpfilesdir)/fdial.conf'
uninstall-hook: uninstall-fragments
uninstall-fragments:
	rm -f '$(DESTDIR)$(sysusersdir)/fdial.conf' '$(DESTDIR)$(modulesloaddir)/fdial.conf' \
		'$(DESTDIR)$(tmpfilesdir)/fdial.conf'
endif
