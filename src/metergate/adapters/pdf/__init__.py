"""Invoices and credit notes as PDF files, set by typst."""
