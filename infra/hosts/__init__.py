"""What Ansible's plugins and yard know of hosts: inventories, and whether hosts are well."""
