"""Tables, figures and the page, made from the files that runs leave behind; never imports torch."""
