"""Speed: systems and workloads in, figures side by side out."""
