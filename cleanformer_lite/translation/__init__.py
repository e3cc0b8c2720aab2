"""What chapter 7 builds around the Transformer: dates, training, decoding, looking inside."""
