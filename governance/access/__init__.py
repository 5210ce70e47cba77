"""Who may read what: principals and groups, access sets, rules, grants, and the rows one person may read."""
